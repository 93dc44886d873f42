"""Optimisers of a batch of independent rows: L-BFGS (Nocedal & Wright 2006) and Adam (Kingma & Ba 2015)."""

from harness.optim.adam import BatchedAdam
from harness.optim.lbfgs import BatchedLBFGS
from harness.optim.line_search import LineSearch
from harness.optim.preconditioner import InitialHessian
from harness.optim.rows import BatchedOptimizer
from harness.optim.status import RowStatus

__all__ = ["BatchedAdam", "BatchedLBFGS", "BatchedOptimizer", "InitialHessian", "LineSearch", "RowStatus"]
