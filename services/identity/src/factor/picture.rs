//! The picture of a QR code (ISO/IEC 18004) that the camera of another device reads.

use png::{BitDepth, ColorType, Encoder};
use qrcode::{Color, EcLevel, QrCode};

/// Pixels of one module.
const SCALE: usize = 6;
/// Modules of white around it. Source: ISO/IEC 18004, 6.3.8.
const QUIET: usize = 4;

/// The text is longer than any QR code holds.
#[derive(Debug, thiserror::Error)]
#[error("the picture can't be drawn")]
pub struct NoPicture(#[source] Box<dyn std::error::Error + Send + Sync>);

/// `text` as a QR code in a PNG of one bit a pixel.
///
/// # Errors
/// The text is too long: beyond some 2 KiB.
pub fn qr_png(text: &str) -> Result<Vec<u8>, NoPicture> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(|error| NoPicture(error.into()))?;
    let side = (code.width() + 2 * QUIET) * SCALE;
    let is_dark = |x: usize, y: usize| {
        let module = |pixel: usize| (pixel / SCALE).checked_sub(QUIET).filter(|module| *module < code.width());
        module(x).zip(module(y)).is_some_and(|place| code[place] == Color::Dark)
    };
    let mut pixels = vec![0_u8; side.div_ceil(8) * side];
    for (y, row) in pixels.chunks_exact_mut(side.div_ceil(8)).enumerate() {
        (0..side).filter(|x| !is_dark(*x, y)).for_each(|x| row[x / 8] |= 0x80 >> (x % 8));
    }
    written(side, &pixels).map_err(|error| NoPicture(error.into()))
}

fn written(side: usize, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, side as u32, side as u32);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::One);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_each_module_in_its_place_and_white_around() {
        let text = "otpauth://totp/Muster:ana%40example.com?secret=GEZDGNBVGY3TQOJQ";
        let file = qr_png(text).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        let side = (code.width() + 8) * 6;
        assert_eq!((info.width as usize, info.height as usize), (side, side));
        let is_dark = |x: usize, y: usize| pixels[y * info.line_size + x / 8] & (0x80 >> (x % 8)) == 0;
        for (x, y) in (0..side).flat_map(|x| (0..side).map(move |y| (x, y))) {
            let inside = (24..side - 24).contains(&x) && (24..side - 24).contains(&y);
            let dark = inside && code[((x - 24) / 6, (y - 24) / 6)] == Color::Dark;
            assert_eq!(is_dark(x, y), dark, "the pixel ({x}, {y})");
        }
        assert!(file.len() < 4_096, "{} bytes", file.len());
    }

    #[test]
    fn a_text_that_no_code_holds_is_an_error() {
        assert!(qr_png(&"x".repeat(4_000)).is_err());
    }
}
