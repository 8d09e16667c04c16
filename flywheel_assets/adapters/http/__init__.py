"""HTTP for all adapters: one client, one policy on where a surface may lead, typed answers, patience.

Over plain sockets: in loops over small objects and large bodies that takes a fraction of the time of richer clients,
and answers are read more strictly (docs/adr/0008-http.md). Only here is decided which address is connected to, and
who is shown a credential.
"""
