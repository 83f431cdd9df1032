-- Ours, but all databases share one token key: the attack puts the other database's key in.
update quickscale.token_key
   set inner_pad = quickscale.pad_key(pg_catalog.decode({{key}}, 'hex'), 54),
       outer_pad = quickscale.pad_key(pg_catalog.decode({{key}}, 'hex'), 92);
