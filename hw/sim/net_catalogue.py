"""The nets whose shapes are known by name: those that papers on spiking nets compare with, and the shipped one."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from s2nn.hw.sim.net_shapes import LayerShape, NetShape, WeightKind, classifier, plain_layers
from s2nn.hw.spec.errors import ConfigError
from s2nn.hw.spec.program import INPUT, ResidualOp


def _default() -> NetShape:
    stages = [(32, False), (64, True), (128, True), (128, True)]
    return NetShape(name="default", title="32C3-64C3-MP2-128C3-MP2-128C3-MP2-FC", input_shape=(1, 28, 28), steps=4,
                    layers=plain_layers((1, 28, 28), stages, classes=10, global_pool=False),
                    source="the net of the shipped checkpoints")


def _vgg16() -> NetShape:
    widths = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]
    stages = [(channels, number == count - 1) for channels, count in widths for number in range(count)]
    return NetShape(name="vgg16", title="VGG-16 for CIFAR, global average pooling", input_shape=(3, 32, 32), steps=4,
                    layers=plain_layers((3, 32, 32), stages, classes=10, global_pool=True),
                    source="Simonyan and Zisserman, arXiv 1409.1556, configuration D, with one classifier layer "
                           "behind global average pooling as is usual for CIFAR")


def _residual_stages(stem: LayerShape, stages: Sequence[tuple[int, int]], *,
                     first_strides: int) -> tuple[LayerShape, ...]:
    """Stages (channels, blocks) of two 3x3 convolutions each behind a stem; a block that changes the shape has a 1x1
    shortcut, and from stage `first_strides` on, the first block of a stage halves the map."""
    layers, shape, source = [], stem.out_shape, stem.name
    for stage, (channels, blocks) in enumerate(stages, start=1):
        for block in range(1, blocks + 1):
            name, stride = f"layer{stage}.{block}", 2 if stage >= first_strides and block == 1 else 1
            first = LayerShape(name=f"{name}.conv1", c_in=shape[0], c_out=channels, height=shape[1], width=shape[2],
                               stride=stride, source=source)
            second = LayerShape(name=f"{name}.conv2", c_in=channels, c_out=channels, height=first.out_shape[1],
                                width=first.out_shape[2], source=first.name)
            if first.out_shape != shape:
                layers += [first, replace(first, name=f"{name}.shortcut", kind="shortcut", kernel=1,
                                          weights=WeightKind.ONE_BIT), second]
            else:
                layers += [first, replace(second, residual=source)]
            shape, source = second.out_shape, second.name
    return (stem, *layers)


def _resnet19() -> NetShape:
    stem = LayerShape(name="stem", c_in=3, c_out=64, height=32, width=32, weights=WeightKind.PLANES, source=INPUT)
    layers = _residual_stages(stem, ((128, 3), (256, 3), (512, 2)), first_strides=2)
    return NetShape(name="resnet19", title="ResNet-19 for CIFAR", input_shape=(3, 32, 32), steps=4,
                    layers=(*layers, classifier(layers[-1].out_shape, layers[-1].name, classes=10, global_pool=True)),
                    source="S2NN, arXiv 2509.24266, sizes of Tab. 1 (stem 64; stages 128x3, 256x3, 512x2; three 1x1 "
                           "shortcuts, here 1-bit in every format, as its text says). Assumed: a residual adds to the "
                           "current of a block's second neuron, so that every map is binary")


def _ms_resnet19() -> NetShape:
    net = _resnet19()
    return replace(net, name="ms-resnet19", title="MS-ResNet-19 for CIFAR", residual_op=ResidualOp.CURRENT,
                   source=f"{net.source}. Programs of it add currents, as blocks of MS-ResNet do, arXiv 2112.08954; "
                          "the traffic model counts spikes alone, not the kept currents beside them")


def _imagenet_resnet(depth: int, blocks: tuple[int, int, int, int]) -> NetShape:
    stem = LayerShape(name="stem", c_in=3, c_out=64, height=224, width=224, kernel=7, stride=2, pool=True,
                      weights=WeightKind.PLANES, source=INPUT)
    layers = _residual_stages(stem, tuple(zip((64, 128, 256, 512), blocks, strict=True)), first_strides=2)
    return NetShape(name=f"resnet{depth}", title=f"ResNet-{depth} for 224x224, 16 classes", input_shape=(3, 224, 224),
                    steps=4,
                    layers=(*layers, classifier(layers[-1].out_shape, layers[-1].name, classes=16, global_pool=True)),
                    source="He et al., arXiv 1512.03385, Tab. 1. Changed: the stem has a 2x2 pool instead of 3x3, "
                           "1x1 shortcuts are 1-bit, and the classifier has 16 classes, as many as the array has lanes")


def _vgg9() -> NetShape:
    stages = [(64, False), (64, True), (128, False), (128, True), (256, False), (256, False), (256, True)]
    *convs, last = plain_layers((3, 32, 32), stages, classes=10, global_pool=False)
    channels, height, width = convs[-1].out_shape
    hidden = LayerShape(name="fc", c_in=channels, c_out=1024, height=height, width=width, kernel=height,
                        source=last.source)
    return NetShape(name="vgg9", title="VGG-9 for CIFAR", input_shape=(3, 32, 32), steps=4,
                    layers=(*convs, hidden, classifier((1024, 1, 1), "fc", classes=10, global_pool=True)),
                    source="64-64-128-128-256-256-256 and two fully connected layers, as is usual for spiking nets; "
                           "maximum pools")


def _vggsnn() -> NetShape:
    stages = [(64, False), (128, True), (256, False), (256, True), (512, False), (512, True), (512, False), (512, True)]
    return NetShape(name="vggsnn", title="VGGSNN for DVS-CIFAR10", input_shape=(2, 48, 48), input_spikes=True, steps=10,
                    layers=plain_layers((2, 48, 48), stages, classes=10, global_pool=True,
                                        first_kind=WeightKind.ONE_BIT),
                    source="Deng et al., arXiv 2202.11946 (TET); maximum instead of average pools, first layer 1-bit, "
                           "the classifier averages the last map")


def _nmnist_fc() -> NetShape:
    hidden = LayerShape(name="fc", c_in=2, c_out=256, height=34, width=34, kernel=34, source=INPUT)
    return NetShape(name="nmnist-fc", title="2312-256-10 for N-MNIST", input_shape=(2, 34, 34), input_spikes=True,
                    steps=100, layers=(hidden, classifier((256, 1, 1), "fc", classes=10, global_pool=True)),
                    source="the two-layer net usual for N-MNIST events in 100 time bins")


def _s2nn_scnn() -> NetShape:
    stages = [(64, False), (128, False), (128, False), (256, False), (256, False), (256, False)]
    layers = plain_layers((64, 32, 32), stages, classes=10, global_pool=True, first_kind=WeightKind.COMPARED)
    return NetShape(name="s2nn-scnn", title="SCNN 64c3-128c3-128c3-256c3-256c3-256c3", input_shape=(64, 32, 32),
                    input_spikes=True, steps=8, layers=layers,
                    source="S2NN, arXiv 2509.24266, App. I-J. Its Tab. 11 implies 64 input channels of layer 1; "
                           "assumed: they are spikes, nothing pools, and the classifier averages the last map")


_NETS: dict[str, Callable[[], NetShape]] = {"default": _default, "vgg16": _vgg16, "resnet19": _resnet19,
                                            "ms-resnet19": _ms_resnet19, "s2nn-scnn": _s2nn_scnn, "vgg9": _vgg9,
                                            "vggsnn": _vggsnn, "nmnist-fc": _nmnist_fc,
                                            "resnet18": lambda: _imagenet_resnet(18, (2, 2, 2, 2)),
                                            "resnet34": lambda: _imagenet_resnet(34, (3, 4, 6, 3))}
NET_NAMES = tuple(_NETS)


def net_shape(name: str) -> NetShape:
    """The net of that name; an unknown one is refused with the list of known ones."""
    if name not in _NETS:
        raise ConfigError(f"a net must be one of {', '.join(NET_NAMES)}", value=name)
    return _NETS[name]()
