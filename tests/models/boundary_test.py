"""The boundary network against golden numbers of PyTorch's, and padded against unpadded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_weights import any_variables, golden, golden_variables, nhwc, weight

from wsgcn_jax.models.boundary import BoundaryNet, BoundaryOutput, boundary_and_features
from wsgcn_jax.models.boundary_loss import affinity_displacement_loss
from wsgcn_jax.models.efficientnet_lite import EfficientNetLite
from wsgcn_jax.models.published_kinds import irnet_name
from wsgcn_jax.models.resnet import ResNet
from wsgcn_jax.resize import resize_bilinear, upsample

IRN = golden("irn_net")
PATHS = golden("paths")
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def net():
    module = BoundaryNet(ResNet(), displacement=True)
    variables = golden_variables(module, irnet_name)
    shift = weight("mean_shift.running_mean", (2,))
    return jax.jit(module.apply), variables, shift


def _pick(output, index, size):
    """Cuts one photo's cells out of a batch's output."""
    return BoundaryOutput(*(leaf[index, : size[0], : size[1]] for leaf in output))


def _run_pair(net, pair):
    """Runs a photo and its mirror image, zero-padded to 128 as the reference does."""
    apply, variables, _ = net
    height, width = pair.shape[1:3]
    padded = np.pad(pair, ((0, 0), (0, 128 - height), (0, 128 - width), (0, 0)))
    # No `valid`: the reference's norms count the padding.
    return apply(variables, padded)


@pytest.mark.parity("boundary")
def test_outputs_match_golden(net):
    shift = net[2]  # the published network takes the mean displacement off itself
    output = _run_pair(net, nhwc(IRN["pair_input"]))
    np.testing.assert_allclose(output.logits, IRN["raw_edge_logits"][:, 0], atol=1e-4)
    np.testing.assert_allclose(
        np.asarray(output.displacement) - shift, nhwc(IRN["raw_dp"]), atol=1e-4
    )
    edge, features = boundary_and_features(*(_pick(output, i, (16, 24)) for i in range(2)))
    np.testing.assert_allclose(edge, IRN["edge"][0], atol=1e-5)
    np.testing.assert_allclose(features, nhwc(IRN["features"])[0], atol=1e-5)
    np.testing.assert_allclose(
        np.asarray(output.displacement)[0, :16, :24] - shift,
        np.moveaxis(IRN["dp"], 0, -1),
        atol=1e-4,
    )


@pytest.mark.parity("boundary")
def test_evaluation_outputs_match_golden(net):
    apply, variables, shift = net
    output = apply(variables, nhwc(IRN["adl_input"]))
    np.testing.assert_allclose(output.logits, IRN["adl_eval_edge_logits"][0], atol=1e-5)
    np.testing.assert_allclose(
        np.asarray(output.displacement) - shift, nhwc(IRN["adl_eval_dp"]), atol=1e-5
    )


@pytest.mark.parity("boundary")
def test_odd_size_matches_golden(net):
    """Mirrored in its real width, as published: `valid` says where the photo ends."""
    photo = ((IRN["odd_image"] / 255 - MEAN) / DEVIATION).astype(np.float32)
    output = _run_pair(net, np.stack([photo, photo[:, ::-1]]))
    valid = np.zeros((128, 128), bool)
    valid[:61, :90] = True
    photo, mirrored = (BoundaryOutput(*(leaf[i] for leaf in output)) for i in range(2))
    edge, features = boundary_and_features(photo, mirrored, valid)
    np.testing.assert_allclose(edge[:16, :23], IRN["odd_edge"][0], atol=1e-5)
    np.testing.assert_allclose(
        features[:16, :23, ::10], nhwc(IRN["odd_features_sub"])[0], atol=1e-5
    )


def test_features_sum_to_the_logit(net):
    _, variables, _ = net
    output = _run_pair(net, nhwc(IRN["pair_input"]))
    total = output.activations.sum(-1) + variables["params"]["edge_bias"][0]
    np.testing.assert_allclose(total, output.logits, atol=1e-5)


@pytest.mark.parity("boundary")
def test_loss_and_gradients_match_golden():
    module = BoundaryNet(ResNet(), displacement=True)
    variables = golden_variables(module, irnet_name)
    paths = tuple(
        PATHS["r5_paths_flat"][i, :length] for i, length in enumerate(PATHS["r5_path_length"])
    )
    x, labels = nhwc(IRN["adl_input"]), IRN["adl_label16"][None]

    def loss(params):
        output = module.apply({**variables, "params": params}, x)
        terms = affinity_displacement_loss(output.logits, output.displacement, labels, paths=paths)
        return terms.total, (terms, output)

    grads, (terms, output) = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    backbone = grads.pop("backbone")
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(backbone))
    np.testing.assert_allclose(output.logits, IRN["adl_edge_logits"][0], atol=1e-4)
    np.testing.assert_allclose(
        np.array([*terms[1:], terms.total]), IRN["adl_loss_terms"], rtol=1e-5
    )
    np.testing.assert_allclose(
        grads["edge_kernel"][:, 0], IRN["adl_grad_fc_edge6_weight"], atol=2e-6
    )
    np.testing.assert_allclose(
        grads["displacement8"]["kernel"], IRN["adl_grad_fc_dp7_3_weight"].T, atol=2e-5
    )
    norms = dict(zip(IRN["adl_grad_names"], IRN["adl_grad_l2"], strict=True))
    for path, grad in jax.tree_util.tree_leaves_with_path(grads):
        name = irnet_name(tuple(key.key for key in path))
        np.testing.assert_allclose(np.linalg.norm(grad), norms.pop(name), rtol=1e-3, err_msg=name)
    assert not norms


@pytest.mark.parametrize("backbone", [ResNet((1, 1, 1, 1)), EfficientNetLite()])
def test_padded_equals_unpadded(backbone):
    module = BoundaryNet(backbone, displacement=True)
    x = jax.random.normal(jax.random.key(1), (1, 61, 90, 3))
    variables = any_variables(module)
    valid = np.zeros((2, 80, 112), bool)
    valid[0, :61, :90] = True
    padded = jnp.pad(x, ((0, 1), (0, 19), (0, 22), (0, 0)), constant_values=5.0)
    apply = jax.jit(module.apply)
    alone, among = apply(variables, x), apply(variables, padded, valid)
    for a, b in zip(alone, among, strict=True):
        np.testing.assert_allclose(b[:1, :16, :23], a, atol=2e-5)
    # The second row of the batch holds no photo at all.
    assert all(np.isfinite(leaf).all() for leaf in among)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_upsample_ignores_padding(factor):
    x = jax.random.normal(jax.random.key(0), (2, 7, 9, 3))
    np.testing.assert_allclose(
        upsample(x, factor, None), resize_bilinear(x, (7 * factor, 9 * factor)), atol=1e-6
    )
    # Real cells 1..4 x 2..6, as in a training crop that the photo does not fill.
    valid = np.zeros((2, 7, 9), bool)
    valid[:, 1:5, 2:7] = True
    real = x[:, 1:5, 2:7]
    result = upsample(x, factor, valid)
    np.testing.assert_allclose(
        result[:, factor : 5 * factor, 2 * factor : 7 * factor],
        resize_bilinear(real, (4 * factor, 5 * factor)),
        atol=1e-6,
    )
