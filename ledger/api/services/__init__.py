"""One module a gRPC service: proto -> command -> engine -> proto."""
