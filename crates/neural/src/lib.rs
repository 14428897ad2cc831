//! Small networks on the CPU, forward and backward, over one flat buffer of weights.
//!
//! Agents learn with networks of a few ten thousand weights and batches of a few hundred rows: a general tensor library
//! spends more time on dispatch than on arithmetic there. Here a [`Layout`] says where each tensor lies in one `Vec<f32>`,
//! layers are plain functions over slices with their activations in preallocated tapes, and [`Adam`] is one pass. Matrix
//! products are ours where order of sums or reordering of operands matters (`product`, `tiles`), else the
//! `gemm` crate's. No step allocates. Gradients are written by hand and tested against libtorch's.
//!
//! Knows no environment, no loss and no file format.

mod adam;
#[cfg_attr(not(target_arch = "x86_64"), path = "amx/absent.rs")]
mod amx;
mod attention;
mod cnn_lstm;
mod convolution;
mod dropout;
pub mod elementary;
mod layout;
mod linear;
mod lstm;
pub mod matrix;
mod mixed;
mod mlp;
mod offsets;
mod product;
pub mod sequence;
mod stack;
mod tiles;
mod vectors;

pub use adam::{Adam, AdamOptions, NotFinite, decay, polyak};
pub use cnn_lstm::{CnnLstm, CnnLstmShape, CnnLstmTape};
pub use dropout::Dropout;
pub use layout::{Draw, Layout, Place};
pub use linear::{Linear, LinearPanels};
pub use mlp::{Activation, Mlp, MlpShape, MlpTape, Toward};
pub use offsets::Offsets;
pub use sequence::{Sequence, SequenceShape, SequenceTape};
pub use stack::{Stack, StackTape};
pub use tiles::Tiles;
pub use vectors::Vectors;
