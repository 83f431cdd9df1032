-- Who moves a tenant says by a lock that it lives: see catalog/mover-locks.ts. Processes of versions before that hold none, and know
-- nothing of this column either: as long as the lease is one of theirs, the move is not taken up unasked.
alter table catalog.move
  -- The lease whose holder has such a lock while it works on the move.
  add column locked_lease integer;
