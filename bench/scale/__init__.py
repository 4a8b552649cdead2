"""Many machines, simulated: what an archive or one long video takes on 1 to 1,000 of them."""
