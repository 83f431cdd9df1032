-- What is overdue is looked for now and then.
create index invoice_open on billing.invoice (due_at) where status = 'open';
