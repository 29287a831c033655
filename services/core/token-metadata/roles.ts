/**
 * What a string of a token's metadata is for, by its place (ERC-721, ERC-1155, OpenSea's and Zora's conventions, ERC-7572):
 * - `external`: a page about the token, which nobody expects to be kept
 * - `other`: anything; it counts only when it names content by its CID
 */
export type Role = 'image' | 'animation' | 'file' | 'license' | 'localization' | 'external' | 'other'

const BY_KEY = new Map<string, Role>([
  ...['image', 'image_url', 'imageurl', 'image_uri', 'image_data', 'imagehash', 'preview_image', 'previewimage'].map(
    (key) => [key, 'image'] as const,
  ),
  ...['thumbnail', 'thumbnail_url', 'thumbnailuri', 'displayuri', 'banner_image', 'featured_image'].map(
    (key) => [key, 'image'] as const,
  ),
  ...['animation', 'animation_url', 'animationurl', 'video', 'video_url', 'audio', 'audio_url', 'losslessaudio'].map(
    (key) => [key, 'animation'] as const,
  ),
  ...['artifacturi', 'model_url', 'glb_url'].map((key) => [key, 'file'] as const),
  ...['licenseuri', 'license_uri'].map((key) => [key, 'license'] as const),
  ...['external_url', 'externalurl', 'external_link', 'external_uri', 'youtube_url', 'home_url', 'homepage'].map(
    (key) => [key, 'external'] as const,
  ),
  ...['website', 'website_url', 'twitter', 'discord', 'telegram', 'collection_url'].map(
    (key) => [key, 'external'] as const,
  ),
])

/** Keys that mean what the one above them says. */
const BELOW: Readonly<Record<string, Role>> = {
  files: 'file',
  content: 'file',
  artwork: 'image',
  localization: 'localization',
}
const LINK_KEYS = new Set(['uri', 'url', 'src', 'cid'])

export function roleOf(path: readonly string[]): Role {
  const keys = path.filter((step) => !/^\d+$/.test(step)).map((step) => step.toLowerCase())
  const last = keys.at(-1) ?? ''
  const own = BY_KEY.get(last)
  if (own !== undefined) return own
  return (LINK_KEYS.has(last) ? BELOW[keys.at(-2) ?? ''] : undefined) ?? 'other'
}
