"""Let nbval run cells as JupyterLab does; pyproject.toml pins the nbval whose inside this is."""

from nbval.kernel import RunningKernel


def execute_cell_input(self, cell_input, allow_stdin=None):
    # With store_history=False, which is nbval's way, a trailing `;` does not hide a cell's last value.
    return self.kc.execute(cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False)


RunningKernel.execute_cell_input = execute_cell_input
