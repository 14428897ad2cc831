//! Against libtorch's autograd in f64, against finite differences, and against itself in other company.

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tch::{Device, Kind, Tensor};

use super::*;

pub(crate) fn values(count: usize, salt: f32) -> Vec<f32> {
    (0..count).map(|i| 1.5 * (i as f32 * i as f32 * 0.7 + salt).sin()).collect()
}

/// A small network but for its convolutions, which are left open.
pub(crate) const fn plain(window: usize, width: usize) -> SequenceShape {
    SequenceShape {
        window,
        width,
        channels: 6,
        kernel: 3,
        dilations: Vec::new(),
        normalisation: Normalisation::Off,
        shortcut: Shortcut::Off,
        hidden: 5,
        layers: 1,
        directions: Directions::Forward,
        dropout: 0.0,
    }
}

/// One of each kind.
fn shapes() -> Vec<SequenceShape> {
    let plain = SequenceShape { dilations: vec![1, 1], ..plain(7, 3) };
    vec![
        plain.clone(),
        SequenceShape { layers: 2, dropout: 0.3, hidden: 19, kernel: 5, ..plain.clone() },
        SequenceShape {
            dilations: vec![1, 2, 4],
            normalisation: Normalisation::Layer,
            shortcut: Shortcut::Residual,
            layers: 3,
            directions: Directions::Both,
            dropout: 0.5,
            ..plain.clone()
        },
        SequenceShape {
            dilations: vec![3],
            normalisation: Normalisation::Group(2),
            shortcut: Shortcut::Residual,
            channels: 34,
            ..plain.clone()
        },
        SequenceShape { window: 1, kernel: 1, dilations: vec![1], dropout: 0.2, ..plain },
    ]
}

struct Net {
    shape: SequenceShape,
    layout: Layout,
    network: Sequence,
    weights: Vec<f32>,
    panels: SequencePanels,
}

impl Net {
    fn new(shape: SequenceShape) -> Self {
        let mut layout = Layout::default();
        let network = Sequence::new(&mut layout, "net", shape.clone());
        let mut weights = layout.draw(&mut ChaCha8Rng::seed_from_u64(3));
        // A gain of 1 and an offset of 0 would hide that they are there.
        for place in layout.places().iter().filter(|place| place.name.contains("norm")) {
            for (weight, value) in weights[place.range.clone()].iter_mut().zip(values(place.range.len(), 0.4)) {
                *weight += 0.3 * value;
            }
        }
        let mut panels = network.panels();
        network.pack(&weights, &mut panels);
        Self { shape, layout, network, weights, panels }
    }

    fn input(&self, rows: usize) -> Vec<f32> {
        values(rows * self.shape.window * self.shape.width, 0.3)
    }

    fn ask(&self, vectors: Vectors, input: &[f32], dropout: Dropout<'_>) -> Vec<f32> {
        let rows = input.len() / (self.shape.window * self.shape.width);
        let outputs = dropout.outputs(rows);
        let mut tape = self.network.tape(outputs.max(rows), Purpose::Asking);
        // Twice, so that what a pass leaves behind would show.
        for _ in 0..2 {
            self.network.forward(vectors, (&self.weights, &self.panels), (input, rows, dropout), &mut tape);
        }
        tape.output(outputs).to_vec()
    }

    /// Features and, from `upstream`, the gradient of the weights.
    fn learn(&self, input: &[f32], keys: &[u64], upstream: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (tape, gradient) = self.back(Purpose::Learning, (input, Dropout::On(keys)), upstream);
        (tape.output(keys.len()).to_vec(), gradient)
    }

    /// The tape after a pass there and back, and the gradient of the weights.
    fn back(
        &self,
        purpose: Purpose,
        (input, dropout): (&[f32], Dropout<'_>),
        upstream: &[f32],
    ) -> (SequenceTape, Vec<f32>) {
        let vectors = Vectors::default();
        let rows = input.len() / (self.shape.window * self.shape.width);
        let mut tape = self.network.tape(rows + 1, purpose);
        let mut gradient = vec![0.0; self.layout.len()];
        // Twice, so that what a pass leaves behind would show.
        for _ in 0..2 {
            gradient.fill(0.0);
            let weights = (self.weights.as_slice(), &self.panels);
            self.network.forward(vectors, weights, (input, rows, dropout), &mut tape);
            tape.output_gradient(rows).copy_from_slice(upstream);
            self.network.backward(vectors, (weights.0, weights.1, &mut gradient), rows, &mut tape);
        }
        (tape, gradient)
    }
}

const KEYS: [u64; 11] = [3, 1 << 40, 77, 5, 6, 7, 8, 9, 10, 11, 12];

fn tensor(values: &[f32], size: &[i64]) -> Tensor {
    Tensor::from_slice(values).to_kind(Kind::Double).view(size)
}

/// The same network of libtorch's operations, its weights by name.
struct Libtorch<'a> {
    shape: &'a SequenceShape,
    weights: Vec<(String, Tensor)>,
}

impl Libtorch<'_> {
    fn weight(&self, name: &str) -> &Tensor {
        &self.weights.iter().find(|(other, _)| *other == format!("net.{name}")).unwrap_or_else(|| panic!("{name}")).1
    }

    /// `[rows, channels, window]`.
    fn block(&self, index: usize, dilation: usize, x: &Tensor) -> Tensor {
        let of = |part: &str| self.weight(&format!("convolution{index}.{part}"));
        let kernel = of("weight").permute([1, 2, 0]);
        let dilation = dilation as i64;
        let pad = dilation * (self.shape.kernel as i64 / 2);
        let mut y = x.conv1d(&kernel, Some(of("bias")), 1, pad, dilation, 1);
        let channels = self.shape.channels as i64;
        match self.shape.normalisation {
            Normalisation::Off => {}
            Normalisation::Layer => {
                let (gain, offset) = (of("norm.gain"), of("norm.offset"));
                y = y.transpose(1, 2).layer_norm([channels], Some(gain), Some(offset), 1e-5, false).transpose(1, 2);
            }
            Normalisation::Group(groups) => {
                y = y.group_norm(groups as i64, Some(of("norm.gain")), Some(of("norm.offset")), 1e-5, false);
            }
        }
        match self.shape.shortcut {
            Shortcut::Off => y.relu(),
            Shortcut::Residual if index > 0 => y.relu() + x,
            Shortcut::Residual => {
                let way = x.transpose(1, 2).linear(of("shortcut.weight"), Some(of("shortcut.bias")));
                y.relu() + way.transpose(1, 2)
            }
        }
    }

    fn lstm(&self, name: &str, steps: &[Tensor]) -> Vec<Tensor> {
        let of = |part: &str| self.weight(&format!("{name}.{part}"));
        let zeros = || Tensor::zeros([steps[0].size()[0], self.shape.hidden as i64], (Kind::Double, Device::Cpu));
        let (mut h, mut c) = (zeros(), zeros());
        let mut states = Vec::new();
        for step in steps {
            let gates = step.linear(of("weight_input"), Some(of("bias_input")))
                + h.linear(of("weight_hidden"), Some(of("bias_hidden")));
            let gates = gates.chunk(4, 1);
            c = gates[1].sigmoid() * &c + gates[0].sigmoid() * gates[2].tanh();
            h = gates[3].sigmoid() * c.tanh();
            states.push(h.shallow_clone());
        }
        states
    }

    /// Masks are those of the kernels, over ones.
    fn mask(&self, layer: usize, step: usize, keys: &[u64], features: usize) -> Tensor {
        let place = ((layer - 1) * self.shape.window + step) * features;
        let row = |key: &u64| {
            let mut ones = vec![1.0; features];
            drop_out(Vectors::default(), (*key, place as u32), self.shape.dropout, &mut ones);
            tensor(&ones, &[1, -1])
        };
        Tensor::cat(&keys.iter().map(row).collect::<Vec<_>>(), 0)
    }

    fn features(&self, input: &Tensor, keys: &[u64]) -> Tensor {
        let SequenceShape { window, width, layers, directions, .. } = *self.shape;
        let features = self.shape.hidden * directions.orders().len();
        let mut x = input.reshape([-1, window as i64, width as i64]).transpose(1, 2);
        for (index, dilation) in self.shape.dilations.iter().enumerate() {
            x = self.block(index, *dilation, &x);
        }
        let mut steps: Vec<Tensor> = x.unbind(2);
        for layer in 0..layers {
            if layer > 0 && self.shape.dropout > 0.0 {
                let masked = steps.iter().enumerate().map(|(at, step)| step * self.mask(layer, at, keys, features));
                steps = masked.collect();
            }
            let forward = self.lstm(&format!("lstm{layer}"), &steps);
            steps = match directions {
                Directions::Forward => forward,
                Directions::Both => {
                    steps.reverse();
                    let mut back = self.lstm(&format!("lstm{layer}_backward"), &steps);
                    back.reverse();
                    forward.iter().zip(&back).map(|(a, b)| Tensor::cat(&[a, b], 1)).collect()
                }
            };
        }
        let y = Tensor::stack(&steps, 1);
        let keys_of = y.linear(self.weight("attention.score.weight"), Some(self.weight("attention.score.bias"))).tanh();
        let shares = keys_of.linear(self.weight("attention.context"), None::<&Tensor>).softmax(1, None);
        let pooled = (shares * y).sum_dim_intlist(1, false, Kind::Double);
        if self.shape.dropout > 0.0 { pooled * self.mask(layers, 0, keys, features) } else { pooled }
    }
}

/// Norm-wise within 1e-5; a tensor whose norm is far below `whole`, that of all of them, is a small difference of large
/// sums, so it is held to a hundredth of that.
fn close(actual: &[f32], expected: &Tensor, whole: f64, what: &str) {
    let expected: Vec<f64> = Vec::try_from(expected.contiguous().view(-1)).unwrap();
    let norm = expected.iter().map(|value| value * value).sum::<f64>().sqrt().max(whole / 100.0);
    let off = actual.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
    assert_eq!(actual.len(), expected.len(), "{what}");
    assert!(off / norm < 1e-5, "{what} is off by {:e} of the norm", off / norm);
}

#[test]
fn values_and_gradients_are_those_of_libtorch() {
    for (index, shape) in shapes().into_iter().enumerate() {
        for rows in [1, 4, 11] {
            let (net, keys) = (Net::new(shape.clone()), &KEYS[..rows]);
            let (input, upstream) = (net.input(rows), values(rows * net.network.features(), 1.1));
            let (tape, gradient) = net.back(Purpose::Explaining, (&input, Dropout::On(keys)), &upstream);
            let features = tape.output(rows);
            let weights = net.layout.places().iter().map(|place| {
                let size: Vec<i64> = place.shape.iter().map(|size| *size as i64).collect();
                (place.name.clone(), tensor(&net.weights[place.range.clone()], &size).set_requires_grad(true))
            });
            let reference = Libtorch { shape: &net.shape, weights: weights.collect() };
            let windows = tensor(&input, &[rows as i64, -1]).set_requires_grad(true);
            let wanted = reference.features(&windows, keys);
            close(features, &wanted, 0.0, &format!("shape {index}: the features of {rows} rows"));
            (wanted * tensor(&upstream, &[rows as i64, -1])).sum(Kind::Double).backward();
            let norms = reference.weights.iter().map(|(_, weight)| weight.grad().norm().double_value(&[]).powi(2));
            let whole = norms.sum::<f64>().sqrt();
            let what = format!("shape {index}: the gradient of the input over {rows} rows");
            close(tape.input_gradient(rows), &windows.grad(), 0.0, &what);
            for (place, (name, weight)) in net.layout.places().iter().zip(&reference.weights) {
                let what = format!("shape {index}: the gradient of {name} over {rows} rows");
                close(&gradient[place.range.clone()], &weight.grad(), whole, &what);
            }
        }
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for shape in shapes() {
        let (mut net, keys) = (Net::new(shape), &KEYS[..4]);
        let (input, upstream) = (net.input(4), values(4 * net.network.features(), 1.1));
        let (_, gradient) = net.learn(&input, keys, &upstream);
        let places = net.layout.places().to_vec();
        let mut loss_at = |index: usize, change: f32| {
            let before = net.weights[index];
            net.weights[index] = before + change;
            net.network.pack(&net.weights, &mut net.panels);
            let features = net.ask(Vectors::default(), &input, Dropout::On(keys));
            net.weights[index] = before;
            features.iter().zip(&upstream).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
        };
        let most = gradient.iter().copied().fold(0.0, |most: f32, value| most.max(value.abs()));
        for place in places {
            let index = place.range.start + place.range.len() / 2;
            let slope = (loss_at(index, 2e-3) - loss_at(index, -2e-3)) / 4e-3;
            let off = (slope - f64::from(gradient[index])).abs();
            assert!(off < 5e-3 * f64::from(most), "{}: {slope} is not {}", place.name, gradient[index]);
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_row_has_the_same_bits_in_every_company_and_on_every_kind_of_vectors(
        picked in prop::collection::vec(0_usize..11, 1..40),
    ) {
        for shape in shapes() {
            let net = Net::new(shape);
            let (all, size) = (net.input(11), net.shape.window * net.shape.width);
            let windows: Vec<&[f32]> = picked.iter().map(|index| &all[index * size..(index + 1) * size]).collect();
            let keys: Vec<u64> = picked.iter().map(|index| KEYS[*index]).collect();
            for vectors in [Some(Vectors::default()), Vectors::avx2()].into_iter().flatten() {
                let together = net.ask(vectors, &windows.concat(), Dropout::On(&keys));
                let features = net.network.features();
                for ((window, key), row) in windows.iter().zip(&keys).zip(together.chunks_exact(features)) {
                    let alone = net.ask(Vectors::default(), window, Dropout::On(&[*key]));
                    prop_assert_eq!(bits(&alone), bits(row), "on {}", vectors.name());
                }
            }
        }
    }
}

#[test]
fn the_gradient_of_a_row_has_the_same_bits_in_every_company_and_leaves_those_of_weights_as_they_are() {
    for shape in shapes() {
        let net = Net::new(shape);
        let (features, size) = (net.network.features(), net.shape.window * net.shape.width);
        let (input, upstream) = (net.input(11), values(11 * features, 1.1));
        let (together, gradient) = net.back(Purpose::Explaining, (&input, Dropout::Off), &upstream);
        let (_, learned) = net.back(Purpose::Learning, (&input, Dropout::Off), &upstream);
        assert_eq!(bits(&gradient), bits(&learned));
        for row in 0..11 {
            let (window, toward) = (&input[row * size..][..size], &upstream[row * features..][..features]);
            let (alone, _) = net.back(Purpose::Explaining, (window, Dropout::Off), toward);
            assert_eq!(bits(alone.input_gradient(1)), bits(&together.input_gradient(11)[row * size..][..size]));
        }
    }
}

#[test]
fn many_passes_over_a_row_are_those_made_one_by_one() {
    for shape in shapes() {
        let net = Net::new(shape);
        let input = net.input(2);
        let features = net.network.features();
        let together = net.ask(Vectors::default(), &input, Dropout::On(&KEYS[..6]));
        let size = input.len() / 2;
        for (index, row) in together.chunks_exact(features).enumerate() {
            let window = &input[index % 2 * size..][..size];
            let alone = net.ask(Vectors::default(), window, Dropout::On(&KEYS[index..=index]));
            assert_eq!(bits(&alone), bits(row), "pass {index}");
        }
        let off = net.ask(Vectors::default(), &input, Dropout::Off);
        assert_eq!(off.len(), 2 * features);
        assert_eq!(
            net.shape.dropout > 0.0,
            off != together[..2 * features],
            "dropout is at work, and only where asked"
        );
    }
}

#[test]
fn what_a_tape_keeps_for_learning_changes_no_feature() {
    for shape in shapes() {
        let net = Net::new(shape);
        let input = net.input(9);
        let (features, _) = net.learn(&input, &KEYS[..9], &vec![0.0; 9 * net.network.features()]);
        assert_eq!(bits(&features), bits(&net.ask(Vectors::default(), &input, Dropout::On(&KEYS[..9]))));
    }
}

impl Net {
    fn mixed(shape: SequenceShape) -> Self {
        let single = Self::new(shape);
        let network = single.network.clone().learning_in(Precision::Mixed);
        let mut panels = network.panels();
        network.pack(&single.weights, &mut panels);
        Self { network, panels, ..single }
    }

    /// Features and gradients of a pass there and back, with `vectors`.
    fn learned(&self, vectors: Vectors, input: &[f32], upstream: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let rows = upstream.len() / self.network.features();
        let (mut tape, mut gradient) = (self.network.tape(rows, Purpose::Learning), vec![0.0; self.layout.len()]);
        let weights = (self.weights.as_slice(), &self.panels);
        self.network.forward(vectors, weights, (input, rows, Dropout::Off), &mut tape);
        tape.output_gradient(rows).copy_from_slice(upstream);
        self.network.backward(vectors, (weights.0, weights.1, &mut gradient), rows, &mut tape);
        (tape.output(rows).to_vec(), gradient)
    }
}

#[test]
fn what_is_learned_in_mixed_precision_is_near_what_is_learned_in_f32_whatever_the_shape() {
    for shape in shapes() {
        let (single, mixed) = (Net::new(shape.clone()), Net::mixed(shape.clone()));
        let rows = KEYS.len();
        let (input, upstream) = (single.input(rows), values(rows * single.network.features(), 0.8));
        let [single, mixed] = [&single, &mixed].map(|net| (net.learn(&input, &KEYS, &upstream), net));
        let ((features, gradient), net) = mixed;
        let ((wanted, slopes), _) = single;
        let off = |name: &str, actual: &[f32], wanted: &[f32]| {
            let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let apart = norm(&mut actual.iter().zip(wanted).map(|(a, b)| a - b));
            let whole = norm(&mut wanted.iter().copied()).max(norm(&mut slopes.iter().copied()) / 100.0);
            assert!(apart < 0.02 * whole, "{name} of {shape:?} is off by {:e} of its norm", apart / whole);
        };
        off("features", &features, &wanted);
        for place in net.layout.places() {
            off(&place.name, &gradient[place.range.clone()], &slopes[place.range.clone()]);
        }
        assert_ne!(gradient, slopes);
    }
}

#[test]
fn mixed_precision_has_the_same_bits_on_every_cpu_and_in_any_company() {
    for shape in shapes() {
        let net = Net::mixed(shape);
        let rows = 32;
        let (input, upstream) = (net.input(rows), values(rows * net.network.features(), 0.8));
        let widest = net.learned(Vectors::default(), &input, &upstream);
        #[cfg(target_arch = "x86_64")]
        if let Some(narrow) = Vectors::avx2() {
            assert_eq!(net.learned(narrow, &input, &upstream), widest);
        }
        let (row, features) = (input.len() / rows, net.network.features());
        for (first, count) in [(0, 1), (3, 7), (30, 2)] {
            let (input, upstream) =
                (&input[first * row..][..count * row], &upstream[first * features..][..count * features]);
            let alone = net.learned(Vectors::default(), input, upstream).0;
            assert_eq!(alone, widest.0[first * features..(first + count) * features]);
        }
    }
}
