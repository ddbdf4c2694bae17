"""``metabolite-annotation databases``: what files of molecules hold, and converters."""
