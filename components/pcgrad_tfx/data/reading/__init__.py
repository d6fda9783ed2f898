"""Reading of files of rows: CSV of any dialect, Parquet, JSON lines."""
