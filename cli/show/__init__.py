"""What users see: tables, formats, sizes and ages in words, progress, colours."""
