"""Clients of stores: each reads and writes objects of one kind of place.

``store`` says what they have in common, and what of them goes wrong; ``folder`` are
files; ``fast`` is obstore; ``plain`` are boto3 and urllib3, for keys that obstore
cannot say and for a process that was forked; ``s3`` finds what boto3 would use.
"""
