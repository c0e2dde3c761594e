"""Envoy's wire contract, generated from `proto/` by `make proto`: change the .proto files, not the modules here."""
