"""Loads a causal language model, finds its anatomy, reaches its attention, and checks it.

The only place that imports transformers; knows nothing of what a run is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.doorway import doorway

if TYPE_CHECKING:
    from worldline.models.bundled import BUNDLED_NAME as BUNDLED_NAME
    from worldline.models.cache_folder import CachedModel as CachedModel
    from worldline.models.cache_folder import cache_root as cache_root
    from worldline.models.cache_folder import clear_cache as clear_cache
    from worldline.models.cache_folder import list_cache as list_cache
    from worldline.models.cache_folder import models_folder as models_folder
    from worldline.models.exclusive_use import exclusive as exclusive
    from worldline.models.load_errors import DTYPES as DTYPES
    from worldline.models.origins import model_origins as model_origins
    from worldline.models.survey import census as census
    from worldline.models.survey import summary as summary
    from worldline.models.tiny_models import causal_types as causal_types
else:
    __getattr__, __dir__, __all__ = doorway(__name__)
