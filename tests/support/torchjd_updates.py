"""TorchJD's updates for given gradients; runs in an environment that has TorchJD.

    python torchjd_updates.py GRADIENTS.npz UPDATES.npz

Both files hold arrays by name: gradients [T, dimensions] by the name of a problem, and updates
[dimensions] by "method/problem".
"""

import sys

import numpy as np
import torch
from torchjd import aggregation
from torchjd.linalg import QuadprogProjector


def aggregators(tasks):
    """TorchJD's aggregators by our names, as exact as they can be made."""
    exact = {"norm_eps": 1e-12, "reg_eps": 1e-12}
    return {
        "AlignedMTL": aggregation.AlignedMTL(pref_vector=torch.ones(tasks)),
        "CAGrad": aggregation.CAGrad(c=0.4, norm_eps=1e-12),
        "ConFIG": aggregation.ConFIG(),
        "DualProj": aggregation.DualProj(projector=QuadprogProjector(**exact)),
        "FairGrad": aggregation.FairGrad(alpha=2.0),
        "GradVac": aggregation.GradVac(beta=0.3, eps=0.0),
        "IMTLG": aggregation.IMTLG(),
        "MGDA": aggregation.MGDA(epsilon=1e-7, max_iters=20_000),
        "NashMTL": aggregation.NashMTL(n_tasks=tasks, max_norm=0.0, optim_niter=100),
        "UPGrad": aggregation.UPGrad(projector=QuadprogProjector(**exact)),
    }


def main(gradients_path, updates_path):
    torch.set_default_dtype(torch.float64)
    updates = {}
    for problem, gradients in np.load(gradients_path).items():
        for method, aggregator in aggregators(len(gradients)).items():
            update = aggregator(torch.from_numpy(gradients))
            if method == "GradVac":  # the first step only begins the mean
                update = aggregator(torch.from_numpy(gradients))
            updates[f"{method}/{problem}"] = update.numpy()
    np.savez(updates_path, **updates)


if __name__ == "__main__":
    main(*sys.argv[1:])
