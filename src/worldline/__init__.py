"""Shows, counts, weighs and cuts the flow of information in transformers."""
