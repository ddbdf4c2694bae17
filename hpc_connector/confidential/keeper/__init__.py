"""The keeper: holds headers of encrypted files, and opens them for jobs it grants."""
