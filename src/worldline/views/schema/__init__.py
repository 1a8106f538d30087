"""What travels to the front end as typed records, and their JSON Schemas: the Scene and its parts.

Renders nothing, and knows no trace and no flow: it only says what may stand where.
"""
