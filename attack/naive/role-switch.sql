-- On top of shared-tables.sql: the application's role is a member of the tables' owner, whom policies do not bind.
grant {{owner}} to {{app}};
