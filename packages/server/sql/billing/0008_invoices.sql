-- Invoices that whoever runs the application has written, where nobody takes money online; organizations see them.
create table billing.invoice (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references catalog.tenant on delete cascade,
  -- Theirs, and of one organization only.
  number text not null unique check (char_length(number) between 1 and 50),
  -- Minor units of the currency.
  amount bigint not null check (amount >= 0),
  currency text not null check (currency ~ '^[a-z]{3}$'),
  period_starts_at timestamptz not null,
  period_ends_at timestamptz not null check (period_ends_at >= period_starts_at),
  issued_at timestamptz not null,
  due_at timestamptz check (due_at >= issued_at),
  -- Of the document.
  url text,
  status text not null default 'open' check (status in ('open', 'paid', 'void')),
  -- When it was paid, or turned out to be none.
  settled_at timestamptz check ((settled_at is null) = (status = 'open')),
  recorded_at timestamptz not null default now()
);
create index invoice_of_tenant on billing.invoice (tenant_id, issued_at, id);
