-- Whom billing had suspended before suspensions had causes: payment opens them again.
update catalog.suspension set cause = 'billing'
  from billing.subscription
 where suspension.tenant_id = subscription.tenant_id and suspension.cause = 'operator'
   and subscription.suspended_at is not null;
