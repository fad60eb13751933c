"""Let a CUDA-linked torchvision wheel be imported beside a CPU-only torch.

Its compiled operators cannot load there, and ``torchvision/_meta_registrations.py`` then dies with "operator
torchvision::nms does not exist", because it registers fakes for ``nms`` and ``qnms`` without a guard. Declaring those two
schemas first is enough: the image transforms are pure torch. The hook waits until somebody imports torchvision and does
nothing where its own operators did load.
"""

import sys


class _DeclareMissingOps:
    """A meta-path finder that never finds: it only acts before one module is imported."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "torchvision._meta_registrations":
            return None
        sys.meta_path.remove(_DeclareMissingOps)
        import torch
        from torchvision import extension

        if not extension._has_ops():
            library = torch.library.Library("torchvision", "DEF")
            for op in ("nms", "qnms"):
                library.define(f"{op}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            extension._cpu_ops_library = library  # a Library unregisters when it is collected
        return None


sys.meta_path.insert(0, _DeclareMissingOps)
