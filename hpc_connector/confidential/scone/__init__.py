"""SCONE: its policies checked and written, and the server that keeps them (CAS).

SCONE runs a program in an enclave (Intel SGX). A policy says which program that is, by
what it is measured as; with which arguments and variables it starts; and which secrets
it is given once CAS has attested it.
"""
