"""ODD: how unlike itself a series of numbers, or an agent's last ten seconds, is. Pure: no clock but the times given."""
