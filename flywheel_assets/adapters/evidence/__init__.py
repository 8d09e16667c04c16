"""The evidence store on a local folder."""
