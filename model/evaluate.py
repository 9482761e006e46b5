"""Accuracy of anything that maps uint8 images [B, C, H, W] to logits [B, classes]."""

from collections.abc import Callable

import torch
from torch import nn


@torch.no_grad()
def predict(net: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, *, batch_size: int = 250,
            device: str | torch.device = "cpu") -> torch.Tensor:
    """Predicted class of each image, int64 [N]; the first of equal logits wins. A Module runs in eval mode."""
    module = net if isinstance(net, nn.Module) else None
    was_training = module is not None and module.training
    if module is not None:
        module.eval()
    try:
        parts = [first_argmax(net(batch.to(device))).cpu() for batch in images.split(batch_size)]
    finally:
        if module is not None:
            module.train(was_training)
    return torch.cat(parts)


def first_argmax(logits: torch.Tensor) -> torch.Tensor:
    """Index of the largest logit, the lowest index among equals (torch.argmax leaves that open): [B, K] -> [B]."""
    top = logits.amax(dim=1, keepdim=True)
    return torch.where(logits == top, torch.arange(logits.shape[1], device=logits.device), logits.shape[1]).amin(dim=1)


def evaluate(net: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, labels: torch.Tensor, *,
             batch_size: int = 250, device: str | torch.device = "cpu") -> float:
    """Share of images whose predicted class is their label, 0..1."""
    predicted = predict(net, images, batch_size=batch_size, device=device)
    return (predicted == labels.cpu()).double().mean().item()
