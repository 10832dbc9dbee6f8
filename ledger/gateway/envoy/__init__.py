"""Generated from protos/ledger/gateway/envoy: what of the API of Envoy we speak."""
