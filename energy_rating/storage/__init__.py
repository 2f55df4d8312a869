"""Many runs: an index over their folders that can be made anew at any time, what was verified of them, and what of them was published when."""
