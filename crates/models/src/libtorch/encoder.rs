//! From an input row to learned features: CNN+LSTM with attention over a window, or an MLP over the row as it is.

use spec::{Activation, ModelSpec};
use tch::Tensor;
use tch::nn::{Init, Path};

use super::layers::{Dense, Initial, Mlp, Mode};
use crate::NetworkSpec;

/// Conv1d ×2 with ReLU → LSTM → additive attention pooling (Bahdanau et al. 2015).
#[derive(Debug)]
pub(crate) struct CnnLstm {
    window: i64,
    width: i64,
    kernel: i64,
    convolutions: [(Tensor, Tensor); 2],
    lstm: Vec<Tensor>,
    layers: i64,
    hidden: i64,
    dropout: f64,
    score: Dense,
    /// `[1, hidden]`: no bias, the softmax would cancel it.
    context: Tensor,
}

impl CnnLstm {
    /// # Shapes
    /// `[batch, window × width]`, oldest bar first → `[batch, hidden]`.
    pub(crate) fn forward(&self, input: &Tensor, mode: Mode) -> Tensor {
        let window = input.reshape([-1, self.window, self.width]);
        self.pool(&self.recur(&self.convolve(&window), mode)).dropout(self.dropout, mode.is_training())
    }

    /// `[batch, window, width]` → `[batch, window, channels]`.
    fn convolve(&self, window: &Tensor) -> Tensor {
        let mut x = window.transpose(1, 2);
        for (weight, bias) in &self.convolutions {
            x = x.conv1d(weight, Some(bias), 1, self.kernel / 2, 1, 1).relu();
        }
        x.transpose(1, 2)
    }

    /// `[batch, window, channels]` → `[batch, window, hidden]`.
    fn recur(&self, x: &Tensor, mode: Mode) -> Tensor {
        let zeros = Tensor::zeros([self.layers, x.size()[0], self.hidden], (x.kind(), x.device()));
        let start = [zeros.shallow_clone(), zeros];
        let weights: Vec<&Tensor> = self.lstm.iter().collect();
        let start: Vec<&Tensor> = start.iter().collect();
        let between = if self.layers > 1 { self.dropout } else { 0.0 };
        x.lstm(&start, &weights, true, self.layers, between, mode.is_training(), false, true).0
    }

    /// `[batch, window, hidden]` → `[batch, hidden]`: a mean over time, weighted by what each step holds.
    fn pool(&self, y: &Tensor) -> Tensor {
        let scores = self.score.forward(y).tanh().linear(&self.context, None::<&Tensor>);
        let shares = scores.softmax(1, None);
        shares.transpose(1, 2).bmm(y).squeeze_dim(1)
    }
}

fn cnn_lstm(path: &Path<'_>, spec: &NetworkSpec, initial: Initial) -> Option<CnnLstm> {
    let ModelSpec::CnnLstm { channels, kernel, hidden, layers, dropout, .. } = spec.model else { return None };
    let [channels, kernel, hidden, layers] = [channels, kernel, hidden, layers].map(i64::from);
    let (window, width) = (spec.window as i64, spec.width as i64);
    let convolution = |name: &str, inputs: i64| {
        let path = path / name;
        let bound = 1.0 / ((inputs * kernel) as f64).sqrt();
        let uniform = initial.or_zeros(Init::Uniform { lo: -bound, up: bound });
        (path.var("weight", &[channels, inputs, kernel], uniform), path.var("bias", &[channels], uniform))
    };
    let convolutions = [convolution("convolution0", width), convolution("convolution1", channels)];
    let bound = 1.0 / (hidden as f64).sqrt();
    let uniform = Init::Uniform { lo: -bound, up: bound };
    let (matrix, bias) = (initial.or_zeros(uniform), initial.or_zeros(uniform));
    let mut lstm = Vec::new();
    for layer in 0..layers {
        let path = path / format!("lstm{layer}");
        let inputs = if layer == 0 { channels } else { hidden };
        lstm.push(path.var("weight_input", &[4 * hidden, inputs], matrix));
        lstm.push(path.var("weight_hidden", &[4 * hidden, hidden], matrix));
        lstm.push(path.var("bias_input", &[4 * hidden], bias));
        lstm.push(path.var("bias_hidden", &[4 * hidden], bias));
    }
    let attention = path / "attention";
    Some(CnnLstm {
        window,
        width,
        kernel,
        convolutions,
        lstm,
        layers,
        hidden,
        dropout,
        score: Dense::new(&(&attention / "score"), hidden, hidden, initial),
        context: attention.var("context", &[1, hidden], initial.or_zeros(uniform)),
    })
}

/// Whichever the spec names.
#[derive(Debug)]
pub(crate) enum Encoder {
    CnnLstm(CnnLstm),
    Mlp(Mlp),
}

impl Encoder {
    pub(crate) fn new(path: &Path<'_>, spec: &NetworkSpec, initial: Initial) -> Self {
        match &spec.model {
            ModelSpec::CnnLstm { .. } => {
                Self::CnnLstm(cnn_lstm(path, spec, initial).expect("the spec was matched above"))
            }
            ModelSpec::Mlp { hidden, activation } => {
                let activation = activation.unwrap_or(Activation::Tanh);
                Self::Mlp(Mlp::new(path, (spec.input_width() as i64, hidden, activation), initial))
            }
        }
    }

    /// Features put out.
    pub(crate) fn outputs(&self) -> i64 {
        match self {
            Self::CnnLstm(network) => network.hidden,
            Self::Mlp(network) => network.outputs,
        }
    }

    /// # Shapes
    /// `[batch, input_width]` → `[batch, outputs]`.
    pub(crate) fn forward(&self, input: &Tensor, mode: Mode) -> Tensor {
        match self {
            Self::CnnLstm(network) => network.forward(input, mode),
            Self::Mlp(network) => network.forward(input),
        }
    }
}

#[cfg(test)]
mod tests;
