//! Aligned tables for terminals.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// Whether a column holds text or numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// Left-aligned.
    Text(&'static str),
    /// Right-aligned.
    Number(&'static str),
}

/// Renders rows under headings, without lines.
pub(crate) fn render(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(columns.iter().map(|column| match column {
        Column::Text(name) | Column::Number(name) => (*name).to_owned(),
    }));
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in columns.iter().enumerate() {
        let alignment = match column {
            Column::Text(_) => CellAlignment::Left,
            Column::Number(_) => CellAlignment::Right,
        };
        if let Some(cells) = table.column_mut(index) {
            cells.set_cell_alignment(alignment);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
