"""Studies of METASPACE, MetaboLights and Metabolomics Workbench, from their files."""
