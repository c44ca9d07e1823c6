//! A table of text, aligned.

use super::output::{Colour, Colours};

/// One cell.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    /// A cell in a colour.
    pub(super) fn coloured(text: impl Into<String>, colour: Colour) -> Self {
        Self { text: text.into(), colour: Some(colour) }
    }

    /// The text, or a dash where there is none.
    pub(super) fn or_dash(text: Option<impl ToString>) -> Self {
        text.map_or_else(|| String::from("-"), |text| text.to_string()).into()
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    fn painted(&self, colours: Colours) -> String {
        match self.colour {
            Some(colour) => colours.paint(colour, &self.text),
            None => self.text.clone(),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), colour: None }
    }
}

/// The rows under their headings, columns two spaces apart, no space at the ends of lines.
pub(super) fn table<const N: usize>(
    headings: [&str; N],
    rows: Vec<[Cell; N]>,
    colours: Colours,
) -> String {
    let headings = headings.map(|heading| Cell::coloured(heading, Colour::Bold));
    let rows: Vec<[Cell; N]> = std::iter::once(headings).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    rows.iter().map(|row| line(row, &widths, colours)).collect()
}

fn line(row: &[Cell], widths: &[usize], colours: Colours) -> String {
    let mut line = String::new();
    let mut gap = 0;
    for (cell, width) in row.iter().zip(widths) {
        line.extend(std::iter::repeat_n(' ', gap));
        line.push_str(&cell.painted(colours));
        gap = width - cell.width() + 2;
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![["größer".into(), "1".into()], ["b".into(), Cell::or_dash(None::<u8>)]];
        assert_eq!(table(["NAME", "N"], rows, Colours::Off), "NAME    N\ngrößer  1\nb       -\n");
    }

    #[test]
    fn a_colour_takes_no_width() {
        let rows = vec![[Cell::coloured("up", Colour::Good), "1".into()]];
        let shown = table(["ON", "N"], rows, Colours::On);
        assert!(shown.ends_with("\x1b[32mup\x1b[0m  1\n"), "{shown:?}");
    }
}
