create table billing.invoice (tenant_id uuid not null references catalog.tenant, amount integer not null);
