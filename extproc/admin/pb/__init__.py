"""Generated from `proto/` by `make proto`: change the .proto file, not the modules here."""
