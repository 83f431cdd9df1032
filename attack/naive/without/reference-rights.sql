-- Ours, but with the rights of every other table on the reference table, which has no policy that could do without them.
grant insert, update, delete on app.country to quickscale_runtime;
