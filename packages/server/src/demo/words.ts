/** Word lists of the demo data: every name made of them is fictional, every address ends in .example. */

const list = (words: string): readonly string[] => words.trim().split(/\s+/)

export const givenNames = list(`
  Abelia Arvid Bastien Brisa Calla Corin Dagny Davor Edda Elian Fenna Florin Gisla Goran Hanne Hollis Ilka Isidor
  Jora Jasper Kalina Kester Liora Lorcan Maren Mirko Nadia Nevin Odile Orrin Petra Piers Quilla Quentin Runa Rafe
  Selma Soren Tamsin Tibor Ulla Umberto Vesna Viggo Wanda Wystan Xenia Yorick Yva Zelda Zoltan
`)

export const familyNames = list(`
  Ashgrove Barrowfen Brackenhall Cindermoor Copperwaite Dapplewood Dunmarrow Elderquist Emberley Fallowmere Fernsby
  Glasswater Greyhollow Hawkmoor Heatherstone Ivorsen Junewell Kettlebrook Lanternby Larkenfeld Maplethorpe Merrowin
  Nettlefold Oakhurstel Pebblemond Quillfeather Ravenscar Rookwell Saltmarsh Silverlind Tanglewick Thistledown
  Umberfield Violetsen Wetherhay Willowmane Yarrowgate Zephyrin
`)

export const companyFirst = list(`
  Amber Birch Cobalt Copper Coral Dapple Ember Fable Fern Garnet Harbor Indigo Ivory Juniper Kelp Lantern Linden
  Maple Meadow Mirth Moss Nimbus Oaken Opal Pebble Quartz Quiet Raven Russet Saffron Slate Spruce Thistle Tundra
  Umber Velvet Willow Yarrow
`)

export const companySecond = list(`
  Acorn Anchor Badger Beacon Bellows Bramble Canoe Cartwheel Compass Falcon Ferry Foundry Gable Heron Hinge Kettle
  Ladder Loom Magpie Marmot Otter Paddle Pinecone Plough Quill Rudder Sparrow Spindle Teapot Thimble Trellis Walrus
  Weathervane Wren
`)

/** Industry, and what companies of it call themselves. */
export const industries: readonly (readonly [industry: string, ...kinds: string[]])[] = [
  ['Food', 'Bakery', 'Provisions', 'Roasters'],
  ['Logistics', 'Freight', 'Couriers', 'Storage'],
  ['Health', 'Dental', 'Physio', 'Optics'],
  ['Manufacturing', 'Works', 'Tooling', 'Castings'],
  ['Software', 'Systems', 'Labs', 'Software'],
  ['Education', 'Academy', 'Tutors', 'Press'],
  ['Construction', 'Builders', 'Roofing', 'Joinery'],
  ['Energy', 'Solar', 'Heating', 'Grid'],
]

export const dealKinds: readonly string[] = [
  'Annual licence',
  'Pilot project',
  'Support contract',
  'Site survey',
  'Fleet renewal',
  'Training package',
  'Warehouse fit-out',
  'Replacement order',
  'Framework agreement',
  'Spring campaign',
]

export const postOpenings: readonly string[] = [
  'What we learned from',
  'A short guide to',
  'Five questions about',
  'The quiet case for',
  'How we think about',
  'Notes on',
  'Before you start with',
  'The real cost of',
]

export const postSubjects: readonly string[] = [
  'careful handovers',
  'winter maintenance',
  'smaller deliveries',
  'honest estimates',
  'slow suppliers',
  'second opinions',
  'better checklists',
  'working with apprentices',
  'paperless invoices',
  'the first hundred days',
]

export const postSentences: readonly string[] = [
  'It began with a question that nobody in the room could answer.',
  'The numbers were small, but they all pointed the same way.',
  'We tried the obvious thing first, and it did not help.',
  'A customer suggested the change that finally did.',
  'Most of the work was agreeing on what to leave out.',
  'Nothing about it was difficult; all of it took time.',
  'We would do the second half the same way again.',
  'The old process is still there for the cases that need it.',
]

export const tags = ['Key account', 'Newsletter', 'Partner', 'Referral', 'Trade fair', 'Waiting']

export const blogTags = ['Behind the scenes', 'How to', 'News', 'Opinion', 'Seasonal']

export const categories = ['Announcements', 'Craft', 'Customers', 'People']

export const noteSentences = [
  'Asked for a call next week, mornings only.',
  'Prefers letters to telephone.',
  'Wants to see the samples before deciding.',
  'The colleague in purchasing decides.',
  'Sent the price list again.',
  'Met at the fair; very interested.',
  'On holiday until the end of the month.',
]
