-- Whoever holds this lock exclusively keeps a schema in the making for as long as he likes.
select pg_advisory_xact_lock_shared(4711);
