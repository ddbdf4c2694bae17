"""Catalogues of others: DCAT with HealthDCAT-AP and ODRL out and in, RO-Crate out."""
