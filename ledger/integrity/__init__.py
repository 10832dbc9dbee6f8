"""Proof that a journal is what it was: seals, Merkle trees, inclusion proofs. Read in this order:

    merkle      the tree of RFC 6962 over BLAKE2b-256: leaves, nodes, roots, audit paths     (pure)
    leaves      what a leaf says of an entry, and the salt that keeps its neighbours secret  (pure)
    seal        what an Ed25519 signature says of a shard's journal                          (pure)
    keys        which public keys seal, and how one introduces the next                      (pure)
    proof       one entry, its path and its seal: checked offline, by this alone             (pure)
    describe    an event in words, for people who look at a proof                            (pure)
    ranges      rows of the journal into the tree of one seal                                (pure)
    key_files   private keys in files and in the environment
    store       seals and public keys in PostgreSQL and in memory
    sealer      signs what became durable, in a process of its own
    prover      makes a proof from the journal

Nothing here is on the writer's path, and nothing here changes the journal.
"""
