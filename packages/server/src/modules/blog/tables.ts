import type { ColumnType, Generated, RawBuilder } from 'kysely'
import type { MemberId } from '../teams/index.ts'

export interface PostTable {
  id: Generated<string>
  title: string
  slug: string
  content: Generated<string>
  excerpt: string | null
  featured_image_id: string | null
  featured_image_alt: string | null
  author_id: MemberId
  published_date: ColumnType<
    Date | null,
    Date | RawBuilder<Date> | null | undefined,
    Date | RawBuilder<Date> | null
  >
  category_id: string | null
  author_profile_id: string | null
  created_at: ColumnType<Date, Date | undefined, never>
  updated_at: ColumnType<Date, Date | undefined, RawBuilder<Date>>
}

export interface CategoryTable {
  id: Generated<string>
  name: string
  slug: string
  description: Generated<string>
  created_at: ColumnType<Date, Date | undefined, never>
}

export interface AuthorProfileTable {
  id: Generated<string>
  /** A trigger fills it where there is a member. */
  name: Generated<string>
  member_id: string | null
  bio: Generated<string>
  created_at: ColumnType<Date, Date | undefined, never>
}

export interface BlogTagTable {
  id: Generated<string>
  name: string
  created_at: ColumnType<Date, Date | undefined, never>
}

interface MediaTable {
  id: Generated<string>
  filename: string
  alt: Generated<string>
  uploaded_by: string | null
  created_at: ColumnType<Date, Date | undefined, never>
}

interface MediaFileTable {
  media_id: string
  variant: 'original' | 'medium' | 'small'
  content_type: string
  width: number
  height: number
  data: Buffer
}

declare module '@quickscale/tenancy/fastify' {
  interface TenantTables {
    posts: PostTable
    categories: CategoryTable
    author_profiles: AuthorProfileTable
    blog_tags: BlogTagTable
    media: MediaTable
    media_file: MediaFileTable
    post_tags: { post_id: string; tag_id: string }
  }
}
