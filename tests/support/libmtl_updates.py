"""LibMTL's updates for given gradients; runs in an environment that has LibMTL.

    python libmtl_updates.py GRADIENTS.npz UPDATES.npz

Both files hold arrays by name, as those of torchjd_updates.py. The losses are linear in one shared
parameter, so their gradients are the given ones; each loss is 1 plus the task's number.
"""

import importlib
import sys
import types

import numpy as np
import torch

# What LibMTL imports, and torchvision no longer has.
sys.modules["torchvision.models.utils"] = types.ModuleType("torchvision.models.utils")
sys.modules["torchvision.models.utils"].load_state_dict_from_url = None

weighting = importlib.import_module("LibMTL.weighting")

METHODS = {
    "CAGrad": (weighting.CAGrad, {"calpha": 0.4, "rescale": 0}),
    "GLS": (weighting.GLS, {}),
    "GradVac": (weighting.GradVac, {"beta": 0.3}),
    "IMTLG": (weighting.IMTL, {}),
    "MGDA": (weighting.MGDA, {"mgda_gn": "none"}),
    "PCGrad": (weighting.PCGrad, {}),
}


def update_of(cls, arguments, gradients):
    tasks = len(gradients)
    method = cls()
    method.device, method.rep_grad, method.task_num = torch.device("cpu"), False, tasks
    method.init_param()
    shared = torch.zeros(gradients.shape[1], requires_grad=True)
    method.get_share_params = lambda: [shared]

    def zero_grad():
        shared.grad = torch.zeros_like(shared)

    method.zero_grad_share_params = zero_grad
    zero_grad()
    losses = torch.from_numpy(gradients) @ shared + torch.arange(1.0, tasks + 1)
    method.backward(losses, **arguments)
    return shared.grad.numpy()


def main(gradients_path, updates_path):
    torch.set_default_dtype(torch.float64)
    updates = {}
    for problem, gradients in np.load(gradients_path).items():
        for name, (cls, arguments) in METHODS.items():
            # Its CAGrad is written for three tasks.
            if name != "CAGrad" or len(gradients) == 3:
                updates[f"{name}/{problem}"] = update_of(cls, arguments, gradients)
    np.savez(updates_path, **updates)


if __name__ == "__main__":
    main(*sys.argv[1:])
