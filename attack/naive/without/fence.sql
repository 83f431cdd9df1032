-- Ours, but a gate stays open when the placement behind it changes.
drop trigger refresh_gate on quickscale.placement;
