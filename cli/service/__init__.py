"""Services: flags → ServiceSpec for `create` and `update`, references to other objects, progress of convergence."""
