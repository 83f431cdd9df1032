-- A move whose process is gone is taken up by another one (moves/watch.ts), but not while somebody wants it left where it is, nor
-- again and again for ever. Whether its process lives says a lock of that process's session, not the row: see catalog/mover-locks.ts.
alter table catalog.move
  -- Since when it is left where it is, because whoever moved the tenant was told to stop.
  add column stopped_at timestamptz,
  -- How often it was taken up without anybody asking, since somebody asked or the tenant was switched.
  add column attempts integer not null default 0,
  -- Before that it is not taken up again.
  add column retry_at timestamptz;
