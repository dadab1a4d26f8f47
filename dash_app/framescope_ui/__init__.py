"""framescope's app: reads what the emitters sent, from the embedded store or the user's own backends."""
